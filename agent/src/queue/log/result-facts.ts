import type { ResultGrade, ResultProgress } from '@aliquot/proto';
import type { LayoutReader, LayoutWriter } from './codec.ts';

/** What the agent's own records say of a folder result beside its files. */
export interface ResultMark {
  /**
   * As it was judged: a member that is lost before it is signed leaves the row open all the same.
   */
  readonly progress: ResultProgress;
  readonly grade: ResultGrade;
  readonly members: number;
}

const progresses = ['open', 'closed'] as const;
const grades = ['proven', 'ended', 'assumed', 'interrupted'] as const;

export function writeResultMark(
  writer: LayoutWriter,
  { progress, grade, members }: ResultMark,
): LayoutWriter {
  return writer.u8(progresses.indexOf(progress)).u8(grades.indexOf(grade)).u53(members);
}

export function resultMarkIn(reader: LayoutReader): ResultMark {
  const progress = progresses[reader.u8()];
  const grade = grades[reader.u8()];
  if (progress === undefined || grade === undefined)
    throw reader.damaged('unknown state of a result');
  return { progress, grade, members: reader.u53() };
}
