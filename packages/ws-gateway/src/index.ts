// The realtime engine: one live log, channels with cursors, connections. Policy comes from the service around it.

export { CLOSE, type CloseReason } from "./close-codes.js";
export type { Connection } from "./connection.js";
export { CursorCodec, type CursorKey, cursorScope, type Position, type ReadCursor } from "./cursor.js";
export { cursorKeys } from "./cursor-keys.js";
export type { EventSource, SourceHead, SourceMessage, SourcePage, SourceQuery } from "./event-source.js";
export type { Format, Sink } from "./format.js";
export { type GatewayDeps, GatewayEngine } from "./gateway.js";
export { GATEWAY_LIMITS, type GatewayLimits } from "./limits.js";
export type { GatewayObserver } from "./observer.js";
export { natsSource, type NatsSourceDeps } from "./nats-source.js";
export { refuseWhileStarting } from "./http-stream.js";
export { nativeFormat, SUBPROTOCOL } from "./native-format.js";
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
} from "./policy.js";
export type { Session, SubscribeOptions, SubscribeResult } from "./session.js";
export type { GapReason, Opened } from "./subscribe.js";
export { refuseUpgrade, type UpgradeRefusal } from "./upgrade.js";
