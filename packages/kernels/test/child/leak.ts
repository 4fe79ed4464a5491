// Forgets tensors, collects garbage (--expose-gc) and prints what the device counted: [never freed, freed, view of a freed one].
import { openDevice, type Tensor } from "../../src/index.js";
import { native } from "../../src/native.js";

const device = openDevice({ threads: 1 });
const collect = async (): Promise<number> => {
  for (let i = 0; i < 5; i++) {
    (globalThis as unknown as { gc: () => void }).gc();
    await new Promise((resolve) => setTimeout(resolve, 5)); // finalizers run when the event loop turns
  }
  return device.status().leakedTensors;
};
const counts: number[] = [];

const forget = (): void => {
  for (let i = 0; i < 3; i++) native().createTensor(device.handle, 0, [4], "leak");
};
forget();
counts.push(await collect());

const free = (): void => {
  const scope = device.scope();
  for (let i = 0; i < 5; i++) scope.empty([4]);
  scope.end();
};
free();
counts.push(await collect());

const forgetScope = (): void => {
  const scope = device.scope();
  const x: Tensor = scope.empty([4]);
  scope.view(x, 1, [2]);
};
forgetScope();
counts.push(await collect());
process.stdout.write(JSON.stringify(counts));
await device.close();
