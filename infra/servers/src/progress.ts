// One line for the person who waits; the caller puts time and step before it.

export type Progress = (line: string) => void;

export const silent: Progress = () => undefined;
