import { probeAmxForward } from "../binding.generated.js";
import type { Device } from "../device.js";
import { probeRate } from "./probe-fma.js";

const operationsPerRound = 4 * 16 * 16 * 32 * 2;

/** The rate of the device's compute threads at products of bf16 tiles, as probeFmaPeak: for devices of the path amx (amx_emulated: its software). */
export function probeAmxPeak(device: Device, seconds = 0.2): Promise<number> {
  return probeRate("probeAmxPeak", device, probeAmxForward, operationsPerRound, seconds);
}
