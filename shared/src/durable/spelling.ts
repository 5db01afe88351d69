/**
 * The name that the disk keeps for the last part of a path, whatever its case there, or its short
 * form (`PROGRA~1`); undefined where nothing is.
 */
export type NameOnDisk = (path: string) => Promise<string | undefined>;

/**
 * An absolute path of Windows as the disk spells it, with a capital for the drive: so that one
 * folder has one name, however a person typed it. What is not there stays as it was typed. A link's
 * own name is spelled, not what it leads to. Server and share of a UNC path are nobody's spelling
 * but the user's.
 */
export async function spelledAsOnDisk(path: string, nameOnDisk: NameOnDisk): Promise<string> {
  const [root = ''] = /^(?:[A-Za-z]:\\|\\\\[^\\]+\\[^\\]+\\?)/.exec(path) ?? [];
  if (root === '') return path;
  let spelled = /^[a-z]:/.test(root) ? root.charAt(0).toUpperCase() + root.slice(1) : root;
  let isThere = true;
  for (const name of path.slice(root.length).split('\\')) {
    if (name === '') continue;
    const at = spelled.endsWith('\\') ? spelled + name : `${spelled}\\${name}`;
    // A sign that no name may hold would be taken for a pattern.
    const found: string | undefined =
      isThere && !/[*?"<>|]/.test(name) ? await nameOnDisk(at) : undefined;
    isThere = found !== undefined;
    spelled = at.slice(0, at.length - name.length) + (found ?? name);
  }
  return spelled;
}
