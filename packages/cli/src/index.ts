export { EXIT, type ExitCode } from "./exit-codes.js";
export { type Io, runCommand } from "./run-command.js";
