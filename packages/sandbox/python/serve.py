"""Reads requests from descriptor 3 and answers on 4, a line of JSON each: candidate.py or tests.py as a process."""
import os
import sys


def main(role):
    # Duplicates, not to be inherited: a subprocess of the candidate's needs neither.
    incoming = os.fdopen(3, "rb")
    outgoing = 4
    os.set_inheritable(3, False)
    os.set_inheritable(4, False)
    write = os.write
    readline = incoming.readline

    def send(text):
        data = memoryview(text.encode() + b"\n")
        while data:
            data = data[write(outgoing, data):]

    def ask(text):
        send("?" + text)
        return readline().decode()

    send("ready")
    while True:
        line = readline()
        if not line:
            return
        send("=" + (handle(line) if role == "candidate" else run_tests(line, ask)))


main(sys.argv[1])
