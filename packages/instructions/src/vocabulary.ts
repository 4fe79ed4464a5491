/** Everyday words from which keywords are drawn. */
export const vocabulary: readonly string[] = `
  anchor apple autumn balance basket beacon bottle bridge bright bronze brother butter candle canyon carpet castle
  circle climate clock cloud coast coffee compass copper corner cotton courage cradle crystal curtain custom dancer
  desert diamond dinner doctor dragon drawer eagle echo engine evening fabric falcon feather fiction figure finger
  forest fortune fountain frozen future galaxy garden gentle ginger glacier golden guitar hammer harbor harvest
  honest horizon hunter island jacket journey jungle kettle kingdom kitchen ladder lantern legend lemon letter
  library marble market meadow memory mirror moment mountain museum music needle ocean orchard palace paper pattern
  pencil pepper pilot planet pocket portrait promise puzzle quarter quiet rabbit rhythm ribbon river rocket saddle
  sailor season secret shadow signal silver simple sister spirit spring station stone storm summer teacher temple
  ticket timber tunnel valley velvet village violin voyage whisper window winter wonder yellow
`
  .trim()
  .split(/\s+/);
