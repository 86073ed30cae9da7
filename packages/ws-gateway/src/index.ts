// The realtime engine: one live log, channels with cursors, connections. Policy comes from the service around it.

export { CLOSE, type CloseReason, FRAME_FAULTS } from "./transport/close-codes.js";
export { corsHeaders, preflightHeaders } from "./transport/cors.js";
export { CursorCodec, type CursorKey, cursorScope, type Position, type ReadCursor } from "./channels/cursor.js";
export { cursorKeys } from "./channels/cursor-keys.js";
export type { EventSource, SourceHead, SourceMessage, SourcePage, SourceQuery } from "./log/event-source.js";
export type { Format, Sink } from "./channels/format.js";
export { type GatewayDeps, GatewayEngine, type SocketProtocol } from "./gateway.js";
export { GATEWAY_LIMITS, type GatewayLimits } from "./limits.js";
export { natsBus, type ProcessBus } from "./presence/process-bus.js";
export type { GatewayObserver } from "./observer.js";
export { natsPublisher } from "./log/nats-publisher.js";
export { natsSource, type NatsSourceDeps } from "./log/nats-source.js";
export { refusePollWhileStarting } from "./phoenix/long-poll.js";
export { tapSource, type TapSourceDeps } from "./log/tap-source.js";
export { refuseWhileStarting } from "./http-stream/http-stream.js";
export {
  type ConnectionFilter,
  decodeAnswer,
  decodeHere,
  encodeInspect,
  INSPECT_SUBJECTS,
  type InspectAnswer,
  type InspectQuestion,
} from "./inspect/inspect-wire.js";
export { nativeFormat, SUBPROTOCOL } from "./native/native-format.js";
export type { ChannelCommand, CommandReply, Payload } from "./channels/command.js";
export type {
  Authenticated,
  EventPublisher,
  Policy,
  Principal,
  PublishableEvent,
  Published,
  RenderedEvent,
  Route,
  Routed,
} from "./channels/policy.js";
export type { Session, SubscribeResult } from "./channels/session.js";
export type { GapReason } from "./channels/beginning.js";
export type { Opened } from "./channels/subscribe.js";
export { httpServerOptions } from "./transport/http-server.js";
export { refuseUpgrade, type UpgradeRefusal } from "./transport/upgrade.js";
