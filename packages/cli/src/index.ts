export { cliPage } from "./cli-page.js";
export { COMMANDS, SHARED_OPTIONS } from "./command-table.js";
export { completionScript, SHELLS } from "./completion.js";
export { EXIT, type ExitCode } from "./exit-codes.js";
export { type Io, runCommand } from "./run-command.js";
