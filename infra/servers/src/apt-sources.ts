// Reads apt's sources in both of their forms (sources.list(5)) and derives from the machine's own archive mirror
// what a private sources file needs. Pure text work; no host is ever named here.

export interface AptSource {
  readonly uris: readonly string[];
  readonly suites: readonly string[];
  readonly components: readonly string[];
  readonly signedBy: string | undefined;
}

export interface Release {
  readonly id: string;
  readonly codename: string;
}

/** deb822 form (`*.sources`): paragraphs of fields, continuation lines are indented. */
export function parseDeb822(text: string): AptSource[] {
  return text.split(/\n[ \t]*\n/).flatMap((paragraph) => {
    const fields = fieldsOf(paragraph);
    const words = (name: string) => (fields.get(name) ?? "").split(/\s+/).filter(Boolean);
    if (!words("types").includes("deb") || /^(no|false|off|0)$/i.test(fields.get("enabled") ?? "yes")) return [];
    const signedBy = fields.get("signed-by");
    return [
      {
        uris: words("uris"),
        suites: words("suites"),
        components: words("components"),
        signedBy: signedBy?.startsWith("/") ? signedBy : undefined,
      },
    ];
  });
}

function fieldsOf(paragraph: string): Map<string, string> {
  const fields = new Map<string, string>();
  let current: string | undefined;
  for (const line of paragraph.split("\n")) {
    if (line.startsWith("#")) continue;
    const field = /^([A-Za-z-]+):[ \t]*(.*)$/.exec(line);
    if (field) {
      current = (field[1] as string).toLowerCase();
      fields.set(current, (field[2] as string).trim());
    } else if (current !== undefined && /^[ \t]/.test(line)) {
      fields.set(current, `${fields.get(current)} ${line.trim()}`.trim());
    }
  }
  return fields;
}

/** One-line form (`*.list`): `deb [options] uri suite components…`. */
export function parseOneLine(text: string): AptSource[] {
  return text.split("\n").flatMap((line) => {
    const entry = /^\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)((?:\s+[^#\s]\S*)*)/.exec(line);
    if (!entry) return [];
    const signedBy = /(?:^|\s)signed-by=(\S+)/.exec(entry[1] ?? "")?.[1];
    return [
      {
        uris: [entry[2] as string],
        suites: [entry[3] as string],
        components: (entry[4] ?? "").split(/\s+/).filter(Boolean),
        signedBy: signedBy?.startsWith("/") ? signedBy : undefined,
      },
    ];
  });
}

export function parseOsRelease(text: string): Release {
  const value = (name: string) => new RegExp(`^${name}="?([^"\n]*)"?$`, "m").exec(text)?.[1] ?? "";
  return { id: value("ID"), codename: value("VERSION_CODENAME") };
}

/**
 * The release's own archive among the configured sources: its suites for Redis, its mirrors for a newer suite.
 * Third-party repositories often use the release's codename as suite; the archive's key is what tells them apart.
 */
export function archiveOf(sources: readonly AptSource[], release: Release, archiveKeyring: string): AptSource[] {
  const suiteOfRelease = new RegExp(
    `^(${release.codename}|stable|testing|unstable|sid)(-updates|-security|/updates)?$`,
  );
  return sources
    .filter((source) => source.components.includes("main"))
    .filter((source) => source.signedBy === undefined || /(debian|ubuntu)-archive/.test(source.signedBy))
    .map((source) => ({
      ...source,
      suites: source.suites.filter((suite) => suiteOfRelease.test(suite)),
      signedBy: source.signedBy ?? archiveKeyring,
    }))
    .filter((source) => source.suites.length > 0);
}

/** Mirrors that carry whole suites (not the security archive, which has only its own). */
export function mirrorsOf(archive: readonly AptSource[]): string[] {
  const whole = archive.filter((source) => source.suites.some((suite) => !/[-/]/.test(suite)));
  return [...new Set(whole.flatMap((source) => source.uris))];
}

export function writeDeb822(sources: readonly AptSource[]): string {
  return sources
    .map((source) =>
      [
        "Types: deb",
        `URIs: ${source.uris.join(" ")}`,
        `Suites: ${source.suites.join(" ")}`,
        `Components: ${source.components.join(" ")}`,
        ...(source.signedBy === undefined ? [] : [`Signed-By: ${source.signedBy}`]),
        "",
      ].join("\n"),
    )
    .join("\n");
}
