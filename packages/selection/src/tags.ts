// How category, region and capability texts compare: NFC, lower case, trimmed; paths by whole steps.

/** "Apparel > Shoes", "apparel / shoes" and "apparel/shoes" are one category. */
export function normaliseTag(tag: string): string {
  return tag
    .normalize("NFC")
    .toLowerCase()
    .normalize("NFC") // lower case may be composable where upper case was not
    .replaceAll(/\s*[>/]\s*/gu, "/")
    .replaceAll(/\s+/gu, " ")
    .replaceAll(/^[\s/]+|[\s/]+$/gu, "");
}

/** The tag and every path above it: "a/b/c" → "a/b/c", "a/b", "a"; regions step at the hyphen: "de-by" → "de-by", "de". */
export function pathsOf(tag: string, step: "/" | "-"): string[] {
  const paths = [tag];
  for (let at = tag.lastIndexOf(step); at > 0; at = tag.lastIndexOf(step, at - 1)) paths.push(tag.slice(0, at));
  return paths;
}
