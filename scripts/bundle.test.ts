import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { bundle } from './bundle.ts';

const folder = mkdtempSync(join(tmpdir(), 'aliquot-bundle-'));
afterAll(() => rmSync(folder, { recursive: true }));

const main = join(folder, 'main.ts');
const out = join(folder, 'out');
const library = join(import.meta.dirname, '../node_modules/tweetnacl/nacl-fast.js');

describe('the bundle of a program', () => {
  it('starts alone, finds its workers beside itself, and lists whose code is in it', async () => {
    writeFileSync(join(folder, 'answer.ts'), "export const answer: string = 'from the thread';");
    writeFileSync(
      join(folder, 'thread.ts'),
      "import { parentPort } from 'node:worker_threads'; import { answer } from './answer.ts'; parentPort?.postMessage(answer);",
    );
    writeFileSync(
      main,
      `import { Worker } from 'node:worker_threads'; import nacl from ${JSON.stringify(library)};
       new Worker(new URL(import.meta.url.endsWith('.ts') ? './thread.ts' : './thread.js', import.meta.url))
         .on('message', (words) => console.log(words, nacl.secretbox.keyLength));`,
    );
    await bundle(main, out);
    for (const source of ['main.ts', 'thread.ts', 'answer.ts']) rmSync(join(folder, source));
    const { stdout, stderr } = spawnSync(process.execPath, [join(out, 'main.js')], {
      encoding: 'utf8',
    });
    expect({ stdout, stderr }).toEqual({ stdout: 'from the thread 32\n', stderr: '' });
    expect(readFileSync(join(out, 'BUNDLED.txt'), 'utf8')).toContain('tweetnacl 1.0.3 (Unlicense)');
  });

  it('names a worker that is not there, and an import that leads nowhere', async () => {
    writeFileSync(main, "console.log(new URL('./gone.js', import.meta.url));");
    await expect(bundle(main, out)).rejects.toThrow(
      /starts gone\.js, and there is no gone\.ts beside it/,
    );
    writeFileSync(main, "import 'a-package-that-nobody-installed';");
    await expect(bundle(main, out)).rejects.toThrow(/a-package-that-nobody-installed/);
    // In a `try` it would be looked for when the program runs, in every folder above it.
    writeFileSync(
      join(folder, 'optional.cjs'),
      "try { require('a-colour-that-nobody-installed'); } catch {}",
    );
    writeFileSync(main, "import './optional.cjs';");
    await expect(bundle(main, out)).rejects.toThrow(
      /would look for a-colour-that-nobody-installed outside/,
    );
  });
});
