// The process of one step: a command line as any other, which ends when the pipeline that began it is gone. Nobody is left then to whom it could matter,
// and the step's next process wants its folder.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
process.channel?.unref();
await import("../main.js");
