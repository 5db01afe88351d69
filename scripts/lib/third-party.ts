import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Plugin } from 'rolldown';

/**
 * Lists the packages whose code went into a bundle, each with its licence, as most licences ask of
 * a copy.
 */
export function listThirdParty(fileName: string): Plugin {
  return {
    name: 'third-party',
    generateBundle(_options, files) {
      const modules = Object.values(files).flatMap((file) =>
        file.type === 'chunk' ? file.moduleIds : [],
      );
      const folders = new Set(
        modules.filter((id) => /[\\/]node_modules[\\/]/.test(id)).map(packageFolder),
      );
      const source = [...folders]
        .map(licenceOf)
        .sort()
        .join(`\n${'-'.repeat(80)}\n\n`);
      this.emitFile({
        type: 'asset',
        fileName,
        source: `This program contains code of these packages.\n\n${source}`,
      });
    },
  };
}

/**
 * The nearest folder above a file whose package.json says which package it is: some packages keep
 * nameless ones further in.
 */
function packageFolder(id: string): string {
  for (let folder = dirname(id); folder !== dirname(folder); folder = dirname(folder)) {
    const description = join(folder, 'package.json');
    if (existsSync(description) && describe(folder).name !== undefined) return folder;
  }
  throw new Error(`${id} belongs to no package`);
}

function licenceOf(folder: string): string {
  const { name, version, license } = describe(folder);
  const text = readdirSync(folder)
    .filter((file) => /^(licen[cs]e|notice)/i.test(file))
    .map((file) => `\n${readFileSync(join(folder, file), 'utf8').trim()}\n`);
  return `${name} ${version} (${license ?? 'licence below'})\n${text.join('')}`;
}

function describe(folder: string): {
  readonly name?: string;
  readonly version?: string;
  readonly license?: string;
} {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}
