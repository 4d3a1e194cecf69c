// Package engine is where jobs are kept and lined up, behind interfaces narrow enough to be filled by one process's memory
// or by a message system (ENG-04). Ownership of a record lies in its revision, never in having been handed it (ENG-01).
package engine
