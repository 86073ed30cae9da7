// `@outcry/client/realtime`: channels over one WebSocket, for browsers and Node. It has no runtime dependency: of @outcry/protocol only types.

export { Channel, type ChannelListeners, type ChannelOptions } from "./channel.js";
export type { ChannelMessage, ChannelName, EventOf, EventTypeOf, GapReason, RealtimeStatus } from "./channel-types.js";
export type { WebSocketConstructor, WebSocketLike } from "./connection.js";
export { type CursorStore, localStorageCursors, memoryCursors, type StringStorage } from "./cursor-store.js";
export { createRealtime, type Realtime, type RealtimeListeners, type RealtimeOptions } from "./realtime.js";
export { RealtimeError, type RealtimeErrorCode } from "./realtime-error.js";
