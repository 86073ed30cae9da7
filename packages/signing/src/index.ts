export * from "./browser.js";
export * from "./key-file.js";
export * from "./nkey.js";
