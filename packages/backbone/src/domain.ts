// Where JetStream answers: its own domain on the plain subjects, another one, behind a leaf node, on those that name it.

const DOMAIN = /^[A-Za-z0-9_-]+$/;

/** `$JS.API`, or `$JS.<domain>.API`. Throws TypeError for what is no domain's name: it is part of subjects. */
export function apiOf(domain: string | undefined): string {
  if (domain === undefined) return "$JS.API";
  if (!DOMAIN.test(domain)) throw new TypeError(`${JSON.stringify(domain)} is no name of a JetStream domain`);
  return `$JS.${domain}.API`;
}
