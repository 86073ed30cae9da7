import { describe, expect, test } from "@jest/globals";
import { archiveOf, mirrorsOf, parseDeb822, parseOneLine, parseOsRelease, writeDeb822 } from "./apt-sources.js";

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
const bookworm = { id: "debian", codename: "bookworm" };

const deb822 = `Types: deb deb-src
# a comment between the fields
URIs: http://apt.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: ${keyring}

Types: deb
URIs: http://apt.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: https://vendor.example/deb
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/vendor.gpg
`;

const oneLine = `# deb http://commented.example/debian bookworm main
deb http://apt.example/debian bookworm main contrib # note
deb [arch=amd64 signed-by=${keyring}] http://apt.example/debian-security bookworm-security main
deb-src http://apt.example/debian bookworm main
`;

describe("apt's own sources", () => {
  test("are read in the deb822 form, without disabled and source entries", () => {
    const sources = parseDeb822(deb822);
    expect(sources.map((source) => source.uris[0])).toEqual([
      "http://apt.example/debian",
      "http://apt.example/debian-security",
      "https://vendor.example/deb",
    ]);
    expect(sources[0]).toEqual({
      uris: ["http://apt.example/debian"],
      suites: ["bookworm", "bookworm-updates"],
      components: ["main", "contrib"],
      signedBy: keyring,
    });
  });

  test("are read in the deb822 form with continuation lines", () => {
    const [source] = parseDeb822(
      "Types: deb\nURIs:\n http://a.example/debian\n http://b.example/debian\nSuites: sid\nComponents: main\n",
    );
    expect(source?.uris).toEqual(["http://a.example/debian", "http://b.example/debian"]);
  });

  test("are read in the one-line form with options and comments", () => {
    expect(parseOneLine(oneLine)).toEqual([
      {
        uris: ["http://apt.example/debian"],
        suites: ["bookworm"],
        components: ["main", "contrib"],
        signedBy: undefined,
      },
      {
        uris: ["http://apt.example/debian-security"],
        suites: ["bookworm-security"],
        components: ["main"],
        signedBy: keyring,
      },
    ]);
  });
});

describe("the archive of the release", () => {
  test("leaves out a vendor's repository that borrows the codename", () => {
    const archive = archiveOf(parseDeb822(deb822), bookworm, keyring);
    expect(archive.flatMap((source) => source.uris)).toEqual([
      "http://apt.example/debian",
      "http://apt.example/debian-security",
    ]);
    expect(archive.every((source) => source.signedBy === keyring)).toBe(true);
  });

  test("gives only whole mirrors for another suite, not the security archive", () => {
    expect(mirrorsOf(archiveOf(parseOneLine(oneLine), bookworm, keyring))).toEqual(["http://apt.example/debian"]);
  });

  test("is written back in the form apt reads", () => {
    const archive = archiveOf(parseOneLine(oneLine), bookworm, keyring);
    expect(parseDeb822(writeDeb822(archive))).toEqual(archive);
  });

  test("is known from os-release", () => {
    expect(parseOsRelease('NAME="Debian"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n')).toEqual(bookworm);
  });
});
