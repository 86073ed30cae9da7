// The text of nats.conf. Every value that keeps one of the design's promises is written out rather than left to a default.

export interface NatsOperator {
  readonly operatorJwt: string;
  readonly systemAccountPublicKey: string;
  readonly accounts: readonly { readonly publicKey: string; readonly jwt: string }[];
  /** The resolver's directory. It outlives restarts: what was pushed there later is newer than `accounts`. */
  readonly dirPath: string;
}

export interface NatsTls {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile?: string;
  readonly verify?: boolean;
}

export interface NatsConfig {
  readonly serverName: string;
  readonly port: number;
  readonly monitorPort: number;
  readonly storeDir: string;
  readonly operator: NatsOperator | undefined;
  readonly tls: NatsTls | undefined;
  readonly extraConfig: string | undefined;
}

export function writeNatsConfig(config: NatsConfig): string {
  return [
    `server_name: ${quoted(config.serverName)}`,
    `listen: "127.0.0.1:${config.port}"`,
    `http: "127.0.0.1:${config.monitorPort}"`,
    "max_payload: 1MB",
    "max_pending: 64MB",
    'write_deadline: "5s" # a peer that reads nothing for this long is cut off',
    "jetstream {", // the space matters: `jetstream{` does not parse
    `  store_dir: ${quoted(config.storeDir)}`,
    "  sync_interval: always # an acknowledged message survives a power cut",
    "}",
    ...(config.operator ? operatorLines(config.operator) : []),
    ...(config.tls ? tlsLines(config.tls) : []),
    ...(config.extraConfig === undefined ? [] : [config.extraConfig]),
    "",
  ].join("\n");
}

/** The directory resolver keeps what is pushed to it, revocations included; a memory resolver forgets them at a restart. */
function operatorLines(operator: NatsOperator): string[] {
  return [
    `operator: ${quoted(operator.operatorJwt)}`,
    `system_account: ${operator.systemAccountPublicKey}`,
    "resolver {",
    "  type: full",
    `  dir: ${quoted(operator.dirPath)}`,
    "  allow_delete: false",
    '  interval: "2m"',
    "}",
  ];
}

function tlsLines(tls: NatsTls): string[] {
  return [
    "tls {",
    `  cert_file: ${quoted(tls.certFile)}`,
    `  key_file: ${quoted(tls.keyFile)}`,
    ...(tls.caFile === undefined ? [] : [`  ca_file: ${quoted(tls.caFile)}`]),
    ...(tls.verify ? ["  verify: true"] : []),
    "}",
  ];
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
