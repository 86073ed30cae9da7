// Finds or fetches nats-server and redis-server, and a browser for tests, and runs the servers as children that never outlive this process.

export {
  findChromium,
  findServers,
  type FoundServer,
  type FoundServers,
  type FindServersOptions,
  ServersNotFound,
} from "./find-servers.js";
export type { NatsOperator, NatsTls } from "./nats-config.js";
export { pickPort } from "./pick-port.js";
export type { Progress } from "./progress.js";
export type { RunningServer } from "./running-server.js";
export { type RunningNats, startNats, type StartNatsOptions } from "./start-nats.js";
export { type RunningRedis, startRedis, type StartRedisOptions } from "./start-redis.js";
export { type ThrowawayNats, throwawayNats, type ThrowawayRedis, throwawayRedis } from "./throwaway.js";
