// Every quota of this service in one place; 0 is none. The defaults and their reasons: LIMITS in @outcry/protocol.

export interface Quotas {
  /** Of a backend. */
  readonly deliveriesPerMinute: number;
  readonly deliveryBytesPerMinute: number;
  /** Of an API key, or of who a token stands for; POST /v1/intents is counted in deliveries instead. */
  readonly requestsPerMinute: number;
  /** Of a remote address: requests without credentials, and with wrong ones. */
  readonly addressRequestsPerMinute: number;
  /** Of a node. */
  readonly acksPerMinute: number;
}

export const NO_QUOTAS: Quotas = {
  deliveriesPerMinute: 0,
  deliveryBytesPerMinute: 0,
  requestsPerMinute: 0,
  addressRequestsPerMinute: 0,
  acksPerMinute: 0,
};
