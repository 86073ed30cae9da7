// Where cursors are kept. A cursor is saved once the handler of its message is done: after a crash the last messages come again.

export interface CursorStore {
  get(channel: string): string | undefined | Promise<string | undefined>;
  set(channel: string, cursor: string): void | Promise<void>;
}

/** For as long as the program or page lives. */
export function memoryCursors(): CursorStore {
  const cursors = new Map<string, string>();
  return { get: (channel) => cursors.get(channel), set: (channel, cursor) => void cursors.set(channel, cursor) };
}

/** The part of the Web Storage API that is used. */
export interface StringStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** Over reloads of the page. Two pages that follow one channel overwrite each other's place: give each its own prefix. */
export function localStorageCursors(
  prefix = "outcry:",
  storage = (globalThis as { localStorage?: StringStorage }).localStorage,
): CursorStore {
  if (storage === undefined) throw new TypeError("localStorageCursors: there is no localStorage here");
  return {
    get: (channel) => storage.getItem(prefix + channel) ?? undefined,
    set: (channel, cursor) => storage.setItem(prefix + channel, cursor),
  };
}

/** Saves one channel's cursors in order, one at a time; while one is being saved only the newest waits. */
export class CursorSaver {
  readonly #store: CursorStore;
  readonly #channel: string;
  readonly #onFailure: (error: unknown) => void;
  #waiting: string | undefined;
  #busy = false;
  #saving: Promise<void> | undefined;

  constructor(store: CursorStore, channel: string, onFailure: (error: unknown) => void) {
    this.#store = store;
    this.#channel = channel;
    this.#onFailure = onFailure;
  }

  save(cursor: string): void {
    this.#waiting = cursor;
    if (this.#busy) return;
    this.#busy = true;
    this.#saving = this.#run();
  }

  /** Resolves when nothing is left to save. */
  async flush(): Promise<void> {
    await this.#saving;
  }

  async #run(): Promise<void> {
    while (this.#waiting !== undefined) {
      const cursor = this.#waiting;
      this.#waiting = undefined;
      try {
        const saved = this.#store.set(this.#channel, cursor);
        if (saved !== undefined) await saved;
      } catch (error) {
        this.#onFailure(error);
      }
    }
    this.#busy = false;
  }
}
