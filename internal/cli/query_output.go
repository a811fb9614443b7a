package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
)

// output is where a query is printed: the standard output, or a file that is there
// only once it is complete.
type output struct {
	*bufio.Writer
	name string
	file *os.File // nil for the standard output
}

func openOutput(s streams, name string) (*output, error) {
	if name == "" {
		return &output{Writer: bufio.NewWriterSize(s.out, 64<<10)}, nil
	}
	f, err := os.OpenFile(name+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	return &output{Writer: bufio.NewWriterSize(f, 1<<20), name: name, file: f}, nil
}

// close completes the output, or takes it back when err says that it is not complete.
// The standard output has what was printed in any case.
func (o *output) close(err error) error {
	if ferr := o.Flush(); ferr != nil && err == nil {
		err = fmt.Errorf("printing: %w", ferr)
	}
	if o.file == nil {
		return err
	}
	if serr := errors.Join(o.file.Sync(), o.file.Close()); serr != nil && err == nil {
		err = fmt.Errorf("writing %s: %w", o.name, serr)
	}
	if err != nil {
		return errors.Join(err, os.Remove(o.name+".part"))
	}
	if err := os.Rename(o.name+".part", o.name); err != nil {
		return fmt.Errorf("writing %s: %w", o.name, err)
	}
	return nil
}
