// A line per test file as it ends, with its time; a failure's text at once, and once more at the end, where it is looked for.
// The counts go to test/run.mjs, which has the last word.

import path from "node:path";

export default class Reporter {
  #startedAt = Date.now();
  #done = 0;
  #rootDir;
  /** Texts of the files that failed. */
  #failures = [];

  constructor(globalConfig) {
    this.#rootDir = globalConfig.rootDir;
  }

  onRunStart(results) {
    this.#say(`${results.numTotalTestSuites} test files`);
  }

  onTestResult(_test, result, results) {
    this.#done += 1;
    const file = path.relative(this.#rootDir, result.testFilePath);
    const seconds = ((result.perfStats.end - result.perfStats.start) / 1000).toFixed(1);
    const failed = result.testExecError ? "did not load" : `${result.numFailingTests} failed`;
    const verdict = isFailed(result) ? `FAILED: ${failed}` : `${result.numPassingTests} passed`;
    this.#say(`[${this.#done}/${results.numTotalTestSuites}] ${file} ${verdict} (${seconds} s)`);
    if (!isFailed(result)) return;
    const text = `${file}\n${result.failureMessage ?? verdict}\n`;
    process.stdout.write(text);
    this.#failures.push(text);
  }

  onRunComplete(_contexts, results) {
    const skipped = results.numPendingTests + results.numTodoTests;
    if (skipped > 0) this.#say(`${skipped} tests were skipped`);
    // A file that could not be loaded has no tests of its own to count: it is one failure.
    const notLoaded = results.testResults.filter((result) => isFailed(result) && result.numFailingTests === 0).length;
    for (const text of this.#failures) process.stdout.write(`\n${text}`);
    process.send?.({ passed: results.numPassedTests, failed: results.numFailedTests + notLoaded });
  }

  #say(text) {
    const seconds = ((Date.now() - this.#startedAt) / 1000).toFixed(1).padStart(6);
    process.stdout.write(`${seconds} s  test     ${text}\n`);
  }
}

function isFailed(result) {
  return result.numFailingTests > 0 || result.testExecError !== undefined || Boolean(result.failureMessage);
}
