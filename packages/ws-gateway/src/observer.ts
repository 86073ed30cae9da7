// What metrics are told of, each as it happens.

export interface GatewayObserver {
  /** `reason` is a name of the close codes, or `by_peer`. */
  closed(reason: string): void;
  /** A subscription asked for what it missed. */
  resumed(recovered: boolean): void;
}
