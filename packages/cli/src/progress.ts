// A progress bar on a terminal's error output. Nothing is drawn into a pipe: scripts read results, not bars.

const WIDTH = 28;
const REDRAW_MS = 100; // ten times a second is as smooth as a person sees

export interface Progress {
  set(done: number, note?: string): void;
  /** Removes the bar. */
  end(): void;
}

export interface ProgressIo {
  readonly err: (text: string) => void;
  /** Columns of the terminal; undefined when the error output is none. */
  readonly columns: number | undefined;
  readonly now: () => number;
}

export function startProgress(label: string, total: number, { err, columns, now }: ProgressIo): Progress {
  if (columns === undefined) return SILENT;
  let drawnAt = 0;
  return {
    set(done, note = "") {
      if (now() - drawnAt < REDRAW_MS && done < total) return;
      drawnAt = now();
      err(`\r\u001b[2K${progressLine({ label, done, total, note }).slice(0, columns - 1)}`);
    },
    end: () => err("\r\u001b[2K"),
  };
}

export function progressLine({
  label,
  done,
  total,
  note,
}: {
  label: string;
  done: number;
  total: number;
  note: string;
}): string {
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const filled = Math.round(share * WIDTH);
  const bar = "█".repeat(filled) + "░".repeat(WIDTH - filled);
  return `${label} ${bar} ${String(Math.floor(share * 100)).padStart(3)} %  ${done}/${total}${note === "" ? "" : `  ${note}`}`;
}

const SILENT: Progress = { set: () => undefined, end: () => undefined };
