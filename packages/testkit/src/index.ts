export { type FakeNode, fakeNode, type FakeNodeMode, type FakeNodeOptions } from "./fake-node.js";
export { type SeenAck, type SeenQuote, type SeenRefusal, SentIntent } from "./sent-intent.js";
export { type Seat } from "./seat.js";
export { startTestMarket, type TestMarketOptions } from "./start-test-market.js";
export { type SendOptions, TestMarket } from "./market.js";
