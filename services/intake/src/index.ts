export { intakeFromContext } from "./from-context.js";
export { type IntakeMetrics, type IntakeOptions, type IntakeService, startIntake } from "./service.js";
