// Ten contest tasks, a right and a wrong program for each, in all languages that read standard input. Where several answers
// are right, a checker judges.
import { type CodeChecker, gradeCode, type Language, type StdioCase } from "@posttrain/sandbox";
import { describe, expect, test } from "vitest";
import { needsSandbox, rows } from "./support.js";

interface Solution {
  readonly language: Exclude<Language, "sql">;
  readonly right: string;
  /** What is replaced to make it wrong. */
  readonly fault: readonly [string, string];
  readonly checker?: CodeChecker;
}

const solutions: Readonly<Record<string, Solution>> = {
  digjump: {
    language: "python",
    right: `from collections import deque
s = input().strip()
at = {}
for i, c in enumerate(s): at.setdefault(c, []).append(i)
seen, queue = {0: 0}, deque([0])
while queue:
    i = queue.popleft()
    for j in [i - 1, i + 1] + at.pop(s[i], []):
        if 0 <= j < len(s) and j not in seen:
            seen[j] = seen[i] + 1
            queue.append(j)
print(seen[len(s) - 1])`,
    fault: ["at.pop(s[i], [])", "[]"],
  },
  "1000_A. Codehorses T-shirts": {
    language: "go",
    right: `package main
import (
	"bufio"
	"fmt"
	"os"
)
func main() {
	in := bufio.NewReader(os.Stdin)
	var n int
	fmt.Fscan(in, &n)
	count := map[string]int{}
	for i := 0; i < 2*n; i++ {
		var s string
		fmt.Fscan(in, &s)
		if i < n { count[s]++ } else { count[s]-- }
	}
	sum := 0
	for _, c := range count { if c > 0 { sum += c } }
	fmt.Println(sum)
}`,
    fault: ["count[s]--", "count[s]++"],
  },
  "1025_B. Weakened Common Divisor": {
    language: "cpp",
    right: `#include <bits/stdc++.h>
int main() {
  int n; std::scanf("%d", &n);
  std::vector<std::pair<long, long>> p(n);
  for (auto& [a, b] : p) std::scanf("%ld %ld", &a, &b);
  std::vector<long> primes;
  for (long x : {p[0].first, p[0].second}) {
    for (long d = 2; d * d <= x; d++) while (x % d == 0) { primes.push_back(d); x /= d; }
    if (x > 1) primes.push_back(x);
  }
  for (long d : primes) {
    if (std::all_of(p.begin(), p.end(), [&](auto& q) { return q.first % d == 0 || q.second % d == 0; })) return std::printf("%ld", d), 0;
  }
  std::puts("-1");
}`,
    fault: ["q.first % d == 0 || q.second % d == 0", "q.first % d == 0 || d > 1"],
    checker: {
      language: "python",
      source: `def check(stdin, got, expected):
    numbers = list(map(int, stdin.split()))
    pairs = list(zip(numbers[1::2], numbers[2::2]))
    d = int(got)
    if int(expected) == -1: return d == -1, "there is none"
    return d > 1 and all(a % d == 0 or b % d == 0 for a, b in pairs), "no weakened common divisor"`,
    },
  },
  "1139_C. Edgy Trees": {
    language: "rust",
    right: `use std::io::Read;
fn find(p: &mut Vec<usize>, x: usize) -> usize { if p[x] == x { x } else { let r = find(p, p[x]); p[x] = r; r } }
fn power(b: u64, k: u64) -> u64 { (0..k).fold(1, |r, _| r * b % 1_000_000_007) }
fn main() {
    let mut s = String::new();
    std::io::stdin().read_to_string(&mut s).unwrap();
    let v: Vec<usize> = s.split_whitespace().map(|x| x.parse().unwrap()).collect();
    let (n, k) = (v[0], v[1] as u64);
    let mut p: Vec<usize> = (0..n).collect();
    for e in v[2..].chunks(3).take(n - 1) {
        if e[2] == 0 { let (a, b) = (find(&mut p, e[0] - 1), find(&mut p, e[1] - 1)); p[a] = b; }
    }
    let mut size = vec![0u64; n];
    for i in 0..n { let r = find(&mut p, i); size[r] += 1; }
    let m = 1_000_000_007;
    let all = size.iter().fold(power(n as u64, k), |r, &c| (r + m - power(c, k) % m) % m);
    println!("{}", all);
}`,
    fault: ["e[2] == 0", "e[2] == 1"],
  },
  "1157_C2. Increasing Subsequence (hard version)": {
    language: "java",
    right: `import java.util.*;
public class Main {
  public static void main(String[] args) {
    Scanner in = new Scanner(System.in);
    int n = in.nextInt(), last = 0, l = 0, r = n - 1;
    int[] a = new int[n];
    for (int i = 0; i < n; i++) a[i] = in.nextInt();
    StringBuilder s = new StringBuilder();
    while (l <= r) {
      boolean left = a[l] > last, right = a[r] > last;
      if (!left && !right) break;
      if (left && right && a[l] == a[r]) {
        int x = 1, y = 1;
        while (l + x <= r && a[l + x] > a[l + x - 1]) x++;
        while (r - y >= l && a[r - y] > a[r - y + 1]) y++;
        s.append((x > y ? "L" : "R").repeat(Math.max(x, y)));
        break;
      }
      if (left && (!right || a[l] < a[r])) { last = a[l++]; s.append('L'); } else { last = a[r--]; s.append('R'); }
    }
    System.out.println(s.length() + "\\n" + s);
  }
}`,
    fault: ["a[l] < a[r])", "a[l] > a[r])"],
    checker: {
      language: "javascript",
      source: `function check(stdin, got, expected) {
  const [n, ...a] = stdin.split(/\\s+/).filter(Boolean).map(Number);
  const [length, moves = ""] = got.split(/\\s+/);
  if (length !== expected.split(/\\s+/)[0] || moves.length !== Number(length)) return [false, "not the longest"];
  let l = 0, r = n - 1, last = 0;
  for (const move of moves) {
    const x = move === "L" ? a[l++] : a[r--];
    if (!(x > last)) return [false, "not increasing"];
    last = x;
  }
  return [true, "as long"];
}`,
    },
  },
  "1198_A. MP3": {
    language: "javascript",
    right: `const [n, I, ...a] = require("fs").readFileSync(0, "utf8").split(/\\s+/).filter(Boolean).map(Number);
a.sort((x, y) => x - y);
const counts = [];
a.forEach((x, i) => (i > 0 && a[i - 1] === x ? counts[counts.length - 1]++ : counts.push(1)));
const k = 2 ** Math.min(20, Math.floor((8 * I) / n));
let inside = 0, best = 0;
counts.forEach((c, i) => {
  inside += c - (i >= k ? counts[i - k] : 0);
  best = Math.max(best, inside);
});
console.log(n - best);`,
    fault: ["n - best", "best"],
  },
  "1238_B. Kill 'Em All": {
    language: "typescript",
    right: `import { readFileSync } from "fs";
const v: number[] = readFileSync(0, "utf8").split(/\\s+/).map(Number);
let at = 1;
for (let q = v[0]; q > 0; q--) {
  const [n, r] = [v[at], v[at + 1]];
  const xs = [...new Set(v.slice(at + 2, at + 2 + n))].sort((a: number, b: number) => b - a);
  at += 2 + n;
  console.log(xs.filter((x: number, i: number): boolean => x > i * r).length);
}`,
    fault: ["x > i * r", "x > i"],
  },
  "12_B. Correct Solution?": {
    language: "bash",
    right: `read -r n
read -r m
digits=$(fold -w1 <<<"$n" | sort)
first=$(grep -m1 '[1-9]' <<<"$digits" || true)
if [[ -n $first ]]; then rest=$(tr -d '\\n' <<<"$digits"); best=$first\${rest/$first/}; else best=$n; fi
if [[ $best == "$m" ]]; then echo OK; else echo WRONG_ANSWER; fi`,
    fault: ["[1-9]", "[0-9]"],
  },
  "1323_D. Present": {
    language: "cpp",
    right: `#include <bits/stdc++.h>
int main() {
  int n; std::scanf("%d", &n);
  std::vector<int> a(n), b(n);
  for (int& x : a) std::scanf("%d", &x);
  int result = 0;
  for (int bit = 0; bit < 25; bit++) {
    for (int i = 0; i < n; i++) b[i] = a[i] & ((2 << bit) - 1);
    std::sort(b.begin(), b.end());
    auto from = [&](long s) { long c = 0; for (int i = 0, j = n; i < n; i++) { while (j > 0 && b[i] + b[j - 1] >= s) j--; c += n - std::max(j, i + 1); } return c; };
    long one = 1L << bit;
    if ((from(one) - from(2 * one) + from(3 * one)) & 1) result |= 1 << bit;
  }
  std::printf("%d\\n", result);
}`,
    fault: ["from(3 * one)", "from(4 * one)"],
  },
  "1342_C. Yet Another Counting Problem": {
    language: "python",
    right: `for _ in range(int(input())):
    a, b, q = map(int, input().split())
    m = a * b
    before = [0]
    for x in range(m): before.append(before[-1] + ((x % a) % b != (x % b) % a))
    count = lambda x: (x + 1) // m * before[m] + before[(x + 1) % m]
    out = []
    for _ in range(q):
        l, r = map(int, input().split())
        out.append(count(r) - count(l - 1))
    print(*out)`,
    fault: ["count(l - 1)", "count(l)"],
  },
};

describe("contest tasks", needsSandbox, () => {
  test.concurrent.each(
    rows("code_contests").map(({ name, tests }) => [name as string, tests as readonly StdioCase[]] as const),
  )("%s", async (name, cases) => {
    const { language, right, fault, checker } = solutions[name]!;
    const task = { mode: "stdio", language, cases, ...(checker ? { checker } : {}) } as const;
    expect(await gradeCode(task, right)).toMatchObject({ outcome: "pass", details: { sealed: true } });
    expect(right).toContain(fault[0]);
    expect((await gradeCode(task, right.replace(...(fault as [string, string])))).outcome).toBe("fail");
  });
});

describe("asserts of compiled languages, which run beside the candidate", needsSandbox, () => {
  const add: Readonly<Record<string, readonly [candidate: string, tests: string]>> = {
    cpp: [
      "int add(int a, int b) { return a + b; }\nint main() { return 7; }",
      "int main() { assert(add(1, 2) == 3); return 0; }",
    ],
    java: [
      "class Problem {\n  static int add(int a, int b) { return a + b; }",
      "  public static void main(String[] args) { assert(add(1, 2) == 3); }\n}",
    ],
    go: [
      "package add_test\n\nfunc add(a, b int) int { return a + b }",
      'import "testing"\nfunc TestAdd(t *testing.T) {\n\tif add(1, 2) != 3 { t.Errorf("no") }\n}',
    ],
    rust: ["fn add(a: i32, b: i32) -> i32 { a + b }", "fn main() { assert_eq!(add(1, 2), 3); }"],
    bash: ["add() { echo $(($1 + $2)); }", "[[ $(add 1 2) == 3 ]]"],
  };
  test.concurrent.each(Object.entries(add))("%s", async (language, [candidate, tests]) => {
    const goTests = language === "go" ? `package add_test\n${tests}` : tests;
    const task = { mode: "asserts", language: language as "cpp", tests: goTests } as const;
    expect(await gradeCode(task, candidate)).toMatchObject({ outcome: "pass", details: { sealed: false } });
    const wrong = candidate.replace("a + b", "a - b").replace("$1 + $2", "$1 - $2");
    expect(await gradeCode(task, wrong)).toMatchObject({ outcome: "fail", details: { sealed: false } });
  });
});
