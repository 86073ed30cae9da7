// Where the engine gets events: a stream with one order, republished live at most once, and readable by sequence.

export interface SourceMessage {
  /** Position in the stream: dense, from 1. */
  readonly seq: number;
  /** When the stream stored it, epoch ms. */
  readonly time: number;
  /** As in the stream, without the prefix of the republished form. */
  readonly subject: string;
  readonly data: Uint8Array;
}

export interface SourceQuery {
  /** First sequence of interest. */
  readonly seq: number;
  /** Subject, wildcards allowed; default: everything. */
  readonly filter?: string;
  readonly batch: number;
  readonly bytesMax: number;
}

export interface SourcePage {
  /** Ascending. A trimmed start is jumped over silently: the first may be later than asked. */
  readonly messages: readonly SourceMessage[];
  /** Matching messages behind this page; 0 = the end. */
  readonly pending: number;
}

export interface SourceHead {
  /** Changes when the stream is made anew: sequences mean nothing under another epoch. */
  readonly epoch: string;
  readonly firstSeq: number;
  /** 0 = nothing was ever stored. */
  readonly lastSeq: number;
  /** Of the last message, epoch ms; 0 = never. */
  readonly lastTime: number;
  /** When the stream was made, epoch ms. What is older is of another stream, and late. */
  readonly createdAt: number;
}

export interface EventSource {
  readonly up: boolean;
  /** Every republished message, as the network gives them: lost, doubled, in any order. Returns the way to stop. */
  listen(onMessage: (message: SourceMessage) => void): () => void;
  /** At least as new as any message that was heard. Rejects with a temporary error when the stream cannot be read. */
  read(query: SourceQuery): Promise<SourcePage>;
  head(): Promise<SourceHead>;
  /** Last sequence that any process may have heard: of the stream that this source is a copy of, if it is one. */
  newestSeq(): Promise<number>;
  /** Called on each change, not at once. Returns the way to stop. */
  onUp(listener: (up: boolean) => void): () => void;
}
