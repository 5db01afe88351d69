import { writeFileSync } from 'node:fs';
import type { Finished } from '../../demo/programs.ts';

/** What was typed and what came of it, as a page. */
export class Transcript {
  readonly #lines: string[] = [];

  /** What happens next, as a heading. */
  say(text: string): void {
    this.#lines.push(...(this.#lines.length === 0 ? [] : ['']), `# ${text}`);
  }

  /** A command with what it printed; errors and remarks too, as a terminal shows both. */
  ran(
    prompt: string,
    command: string,
    { stdout, stderr }: Pick<Finished, 'stdout' | 'stderr'>,
  ): void {
    this.#lines.push(`${prompt}$ ${command}`);
    const said = `${stdout}${stderr}`.split('\n').filter((line) => line.trim() !== '');
    this.#lines.push(...said.map((line) => line.trimEnd()));
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  /**
   * Writes it as the page `docs/an-ordinary-week.md`. `places` are folders of this machine, and
   * what the page calls them.
   */
  write(file: string, places: Readonly<Record<string, string>>): void {
    const text = Object.entries(places).reduce(
      (all, [from, to]) => all.replaceAll(from, to),
      this.#lines.join('\n'),
    );
    writeFileSync(
      file,
      `# An ordinary week\n\nWhat a lab's IT types in a week, and what it sees: made by \`test/ordinary-week.test.ts\`, which plays it between two networks.\n\n\`\`\`console\n${text}\n\`\`\`\n`,
    );
  }
}
