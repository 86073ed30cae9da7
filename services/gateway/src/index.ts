export { keepTap, type KeepTapDeps, type TapKeeper } from "./keep-tap.js";
export { createGateway, type CreateGatewayDeps, type Gateway } from "./create-gateway.js";
export { gatewayFromContext, type GatewayHost } from "./from-context.js";
export type { Caller, ChannelKind } from "./channel-kinds.js";
export { RIGHTS, type Rights, rightsOf } from "./rights.js";
export { GATEWAY_PATHS, type GatewayPaths } from "./paths.js";
export { gatewayPlugin, type SocketHost } from "./plugin.js";
