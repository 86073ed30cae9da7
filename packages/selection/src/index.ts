export * from "./rank-quotes.js";
export { createRegistryIndex, type RegistryIndex, type SelectableNode } from "./registry-index.js";
export * from "./select-targets.js";
export { normaliseTag } from "./tags.js";
