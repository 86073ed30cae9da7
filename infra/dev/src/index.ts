export { type BrokerOptions, type Brokers, startBrokers } from "./broker-servers.js";
export { permissionsPage } from "./permissions-page.js";
export { type Stack, type StackOptions, startStack } from "./stack.js";
