export { keepTap, type KeepTapDeps, type TapKeeper } from "./keep-tap.js";
export { createGateway, type CreateGatewayDeps, type Gateway } from "./create-gateway.js";
export { eventPublisher } from "./event-publisher.js";
export { gatewayFromContext, type GatewayHost } from "./from-context.js";
export { gatewayPlugin, SOCKET_PATH, STREAM_PATH, type SocketHost } from "./plugin.js";
