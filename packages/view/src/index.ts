export type { Figure, FigureSeries, FiguresAnswer, RunAnswer } from "./api.js";
export { openRunAnswers, type RunAnswers } from "./run-answers.js";
export { type Answers, openViewServer, type ViewServer } from "./server.js";
