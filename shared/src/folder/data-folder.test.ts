import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../testing/temp.ts';
import { nodeDisk } from '../derived/node-level.ts';
import { checkDataFolder, createDataFolder, openDataFolder } from './data-folder.ts';

describe('a data folder', () => {
  it('is made once, released, and opened again', async () => {
    const dir = join(temporaryFolder(), 'new', 'data');
    const made = await createDataFolder(nodeDisk, dir, 'aliquot-agent');
    await made.release();
    await made.release();
    expect(JSON.parse(readFileSync(join(dir, 'format.json'), 'utf8'))).toEqual({
      kind: 'aliquot-agent',
      version: 3,
    });
    const opened = await openDataFolder(nodeDisk, dir, 'aliquot-agent');
    expect(opened).toMatchObject({ dir, kind: 'aliquot-agent' });
    await opened.release();
  });

  it('is what the installer of Windows takes for one, which removes no folder of another version', async () => {
    const dir = join(temporaryFolder(), 'data');
    await (await createDataFolder(nodeDisk, dir, 'aliquot-agent')).release();
    const steps = new URL('../../../deploy/windows/steps.nsh', import.meta.url);
    const says = readFileSync(join(dir, 'format.json'), 'utf8').replace('\n', '$\\n');
    expect(readFileSync(steps, 'utf8')).toContain(`'${says}'`);
  });

  it('is opened although the files of its lock are damaged, and still by one process only', async () => {
    const dir = join(temporaryFolder(), 'data');
    await (await createDataFolder(nodeDisk, dir, 'aliquot-agent')).release();
    for (const name of readdirSync(join(dir, 'lock')))
      writeFileSync(join(dir, 'lock', name), 'damaged');
    const opened = await openDataFolder(nodeDisk, dir, 'aliquot-agent');
    await expect(openDataFolder(nodeDisk, dir, 'aliquot-agent')).rejects.toMatchObject({
      code: 'FOLDER_IN_USE',
    });
    await opened.release();
  });

  it('is not made where something is', async () => {
    const dir = temporaryFolder();
    writeFileSync(join(dir, 'thesis.doc'), '');
    await expect(createDataFolder(nodeDisk, dir, 'aliquot-agent')).rejects.toMatchObject({
      code: 'FOLDER_NOT_EMPTY',
    });
    const other = join(dir, 'data');
    await (await createDataFolder(nodeDisk, other, 'aliquot-agent')).release();
    await expect(createDataFolder(nodeDisk, other, 'aliquot-agent')).rejects.toThrow(
      'is a data folder already',
    );
  });

  it('is made although an earlier try died half-way', async () => {
    const dir = temporaryFolder();
    writeFileSync(join(dir, '.aq-0011223344556677.part'), '{');
    writeFileSync(join(dir, 'lock.json'), '');
    await (await createDataFolder(nodeDisk, dir, 'aliquot-collector')).release();
    await checkDataFolder(nodeDisk, dir, 'aliquot-collector');
  });

  it('that is missing says how to make one', async () => {
    const dir = join(temporaryFolder(), 'none');
    await expect(openDataFolder(nodeDisk, dir, 'aliquot-collector')).rejects.toMatchObject({
      code: 'FOLDER_MISSING',
    });
    await expect(openDataFolder(nodeDisk, dir, 'aliquot-agent')).rejects.toThrow(
      'aliquot-agent enroll BUNDLE --data DIR makes one',
    );
  });

  it('of the other program, of another version, or damaged, is refused and left alone', async () => {
    const dir = temporaryFolder();
    const format = join(dir, 'format.json');
    const opening = () => openDataFolder(nodeDisk, dir, 'aliquot-agent');
    writeFileSync(format, '{"kind":"aliquot-collector","version":3}');
    await expect(opening()).rejects.toMatchObject({ code: 'FOLDER_KIND' });
    writeFileSync(format, '{"kind":"aliquot-agent","version":4}');
    await expect(opening()).rejects.toMatchObject({ code: 'FOLDER_VERSION' });
    writeFileSync(format, '{"kind":"aliquot-agent","version":2}');
    await expect(opening()).rejects.toMatchObject({
      code: 'FOLDER_VERSION',
      message: `${dir} was made by an earlier development version; make it anew in an empty folder: aliquot-agent enroll BUNDLE --data DIR makes one`,
    });
    writeFileSync(format, '{"kind":');
    await expect(opening()).rejects.toMatchObject({ code: 'FOLDER_VERSION' });
  });

  it('in use by a living process names that process, and is free when it is killed', async () => {
    const dir = join(temporaryFolder(), 'data');
    await (await createDataFolder(nodeDisk, dir, 'aliquot-agent')).release();
    const program = `
      import { openDataFolder } from '@aliquot/shared/folder/data-folder';
      import { nodeDisk } from '@aliquot/shared/derived/node-level';
      await openDataFolder(nodeDisk, ${JSON.stringify(dir)}, 'aliquot-agent');
      process.stdout.write('ready');
      setInterval(() => {}, 1000);`;
    const holder = spawn(
      process.execPath,
      ['--conditions=aliquot-source', '--input-type=module', '-e', program],
      {
        cwd: import.meta.dirname,
      },
    );
    let said = '';
    holder.stderr.on('data', (bytes) => {
      said += bytes;
    });
    // One that cannot even start must not be waited for.
    const died = once(holder, 'close').then(() => Promise.reject(new Error(said)));
    await Promise.race([once(holder.stdout, 'data'), died]);
    const second = openDataFolder(nodeDisk, dir, 'aliquot-agent');
    await expect(second).rejects.toMatchObject({ code: 'FOLDER_IN_USE' });
    await expect(second).rejects.toThrow(
      `in use by a living process (pid ${holder.pid}); stop it first`,
    );
    const ended = once(holder, 'exit');
    holder.kill('SIGKILL');
    await ended;
    await (await openDataFolder(nodeDisk, dir, 'aliquot-agent')).release();
  });
});
