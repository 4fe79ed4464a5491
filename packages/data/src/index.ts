export { UserError } from "./user-error.js";
