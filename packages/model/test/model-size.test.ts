// A model that has no place on the machine is refused from its config, before a byte is asked for.
import { openDevice } from "@posttrain/kernels";
import { loadModel, parseModelConfig, refuseTooLarge } from "@posttrain/model";
import { expect, it } from "vitest";
import { goldenPath } from "../../../tests/support/golden.js";

const golden = goldenPath("qwen2-tiny-untied");

it("says the sizes, what they take and what there is", () => {
  const config = parseModelConfig(
    {
      ...{ model_type: "qwen2", hidden_size: 131072, num_hidden_layers: 2048, num_attention_heads: 1024 },
      ...{ num_key_value_heads: 1024, intermediate_size: 1048576, vocab_size: 4194304 },
    },
    "config.json",
  );
  const refused = () => refuseTooLarge("huge", config, "f32", 20e9);
  expect(refused).toThrow(
    /^huge: config.json describes 986\d{3}\.\d B parameters \(hidden_size 131072, num_hidden_layers 2048, intermediate_size 1048576, vocab_size 4194304\), .* in float32\. Tensors may take 20.0 GB here: this machine or its container has .* Take a smaller model, or a machine/,
  );
  expect(() => refuseTooLarge("huge", config, "bf16", 1e16)).not.toThrow();
});

it("is not loaded, and half of it is proposed where that fits", async () => {
  const device = openDevice({ threads: 1, memoryLimit: 400_000 });
  try {
    await expect(loadModel(device, golden)).rejects.toMatchObject({ code: "model_too_large" });
    await expect(loadModel(device, golden)).rejects.toThrow(/or --dtype bfloat16, which takes half/);
  } finally {
    await device.close();
  }
});
