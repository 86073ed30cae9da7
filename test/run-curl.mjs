// What /docs uses of curl, for machines without it: -X, -H, -d and a URL. Prints the body and, on a line of its own, the status.

const args = process.argv.slice(2);
const headers = new Headers();
let [method, body, url] = [undefined, undefined, undefined];
for (let at = 0; at < args.length; at++) {
  const word = args[at];
  if (word === "-X") method = args[++at];
  else if (word === "-d") body = args[++at];
  else if (word === "-H") headers.append(...args[++at].split(/: (.*)/s, 2));
  else if (word.startsWith("-")) throw new TypeError(`run-curl knows no ${word}`);
  else url = word;
}
const answer = await fetch(url, { method: method ?? (body === undefined ? "GET" : "POST"), headers, body });
process.stdout.write(`${await answer.text()}\n${answer.status}\n`);
