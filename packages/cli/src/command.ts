// What a command is: its line of help, its options, examples, and what it does. Help, completion and docs/cli.md follow from it.

import type { Client } from "@outcry/client";
import { UsageError } from "./exit-codes.js";
import type { Printer } from "./print.js";
import type { Progress } from "./progress.js";

export interface OptionRow {
  readonly type: "string" | "boolean";
  readonly multiple?: boolean;
  /** Shown after the name: `--reason <text>`. Alternatives with `|` are completed. */
  readonly value?: string;
  readonly help: string;
}

export interface Command {
  readonly summary: string;
  /** Positional arguments, all required. */
  readonly args: readonly string[];
  readonly options: Readonly<Record<string, OptionRow>>;
  /** Without `outcry` in front. */
  readonly examples: readonly string[];
  run(context: CommandContext): Promise<void>;
}

export interface CommandContext {
  /** Made when it is first read: a command that needs no key never asks for one. */
  readonly client: Client;
  /** Base URL of the API, and the key if there is one. */
  readonly url: string;
  readonly gatewayUrl: string;
  readonly apiKey: string | undefined;
  readonly args: readonly string[];
  readonly options: Options;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly print: Printer;
  /** A bar on a terminal, silence elsewhere. */
  progress(label: string, total: number): Progress;
  /** Standard input as text. */
  readInput(): Promise<string>;
  readonly signal: AbortSignal;
}

type Given = string | boolean | (string | boolean)[] | undefined;

/** Options as given, read by type; a wrong one is a UsageError. */
export class Options {
  readonly #values: Readonly<Record<string, Given>>;

  constructor(values: Readonly<Record<string, Given>>) {
    this.#values = values;
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === "string" ? value : undefined;
  }

  required(name: string): string {
    const value = this.text(name);
    if (value === undefined || value === "") throw new UsageError(`--${name} is missing`);
    return value;
  }

  integer(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
      throw new UsageError(`--${name} takes a whole number, not ${JSON.stringify(text)}`);
    return value;
  }

  /** A whole number between the bounds, or the default. */
  within(name: string, bounds: { min: number; max: number; byDefault: number }): number {
    const value = this.integer(name) ?? bounds.byDefault;
    if (value < bounds.min || value > bounds.max)
      throw new UsageError(`--${name} takes ${bounds.min} to ${bounds.max}, not ${value}`);
    return value;
  }

  list(name: string): string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.map(String) : [];
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  oneOf<const T extends string>(name: string, allowed: readonly T[]): T | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const found = allowed.find((one) => one === text);
    if (found === undefined) throw new UsageError(`--${name} takes ${allowed.join(", ")}, not ${JSON.stringify(text)}`);
    return found;
  }
}

/** The option of this name when it was given: spread into a request. */
export const given = <K extends string, const V>(name: K, value: V | undefined): { [P in K]?: V } =>
  (value === undefined ? {} : { [name]: value }) as { [P in K]?: V };
