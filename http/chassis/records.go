package chassis

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Form is how a body carries records.
type Form int

// The forms.
const (
	Single Form = iota // one JSON value
	Array              // one JSON array; all or nothing
	Lines              // NDJSON; each line on its own
)

func (f Form) String() string { return [...]string{"single", "array", "lines"}[f] }

// MediaRecords are the Accepts of a route that reads records.
func MediaRecords() []string {
	return []string{mediaJSON, MediaNDJSON, "application/ndjson", "application/jsonl", "application/jsonlines"}
}

// Record is one record of a body.
type Record struct {
	// Index counts the records from 0.
	Index int
	// Raw is the record's JSON, checked by the rules of CheckJSON. It is valid
	// until the next call of Next.
	Raw []byte
}

// Records reads a body that holds one JSON value, an array of them, or NDJSON.
// NDJSON by its content type is read line by line in constant memory; the other
// forms are read whole, within the body limit of the route.
type Records struct {
	form    Form
	scan    scanner       // Single, Array, and Lines read whole
	lines   *bufio.Reader // Lines, as they come
	line    []byte
	maxLine int
	index   int
	offset  int64 // of the line, in the body
	done    bool
}

// ReadRecords looks at the body of r, far enough to know its form. maxLine
// bounds one NDJSON line, in bytes.
func ReadRecords(r *http.Request, maxLine int) (*Records, error) {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	media = strings.ToLower(strings.TrimSpace(media))
	if media != mediaJSON && acceptable(media, MediaRecords()[1:]) {
		return &Records{form: Lines, lines: bufio.NewReaderSize(r.Body, 64<<10), maxLine: maxLine}, nil
	}
	data, err := ReadBody(r)
	if err != nil {
		return nil, err
	}
	rec := &Records{scan: scanner{data: data}}
	rec.scan.space()
	switch rec.scan.peek() {
	case 0:
		return nil, BadRequest("the body is empty; JSON is expected").WithCode("empty_body")
	case '[':
		// All or nothing: nobody acts on the first record of a body whose last
		// one is malformed.
		if err := CheckJSON(data); err != nil {
			return nil, err
		}
		rec.form = Array
		rec.done, err = rec.scan.open(']')
		return rec, err
	}
	return rec, rec.single()
}

// single tells one value from lines that came without their content type.
func (rec *Records) single() error {
	probe := rec.scan
	if err := probe.skip(); err != nil {
		return err
	}
	after := probe.pos
	probe.space()
	if probe.pos == len(probe.data) {
		return nil
	}
	if !bytes.ContainsRune(probe.data[after:probe.pos], '\n') {
		return probe.end()
	}
	rec.form = Lines
	return nil
}

// Form is how the body carries its records.
func (rec *Records) Form() Form { return rec.form }

// Next returns the next record, or io.EOF after the last. A malformed record is
// a 400 that names it; the ones before it stand.
func (rec *Records) Next() (Record, error) {
	if rec.done {
		return Record{}, io.EOF
	}
	if rec.lines != nil {
		return rec.nextLine()
	}
	start := rec.scan.pos
	if err := rec.scan.skip(); err != nil {
		rec.done = true
		return Record{}, rec.place(err)
	}
	out := Record{Index: rec.index, Raw: rec.scan.data[start:rec.scan.pos]}
	rec.index++
	if rec.form == Array {
		more, err := rec.scan.next(']')
		rec.done = !more
		return out, err
	}
	rec.scan.space()
	rec.done = rec.scan.pos == len(rec.scan.data)
	return out, nil
}

func (rec *Records) nextLine() (Record, error) {
	for {
		line, err := rec.readLine()
		start := rec.offset
		rec.offset += int64(len(line))
		if err != nil && !errors.Is(err, io.EOF) {
			rec.done = true
			return Record{}, err
		}
		rec.done = err != nil
		text := bytes.TrimSpace(line)
		if len(text) > 0 {
			if err := CheckJSON(text); err != nil {
				rec.done = true
				return Record{}, Under("/"+strconv.Itoa(rec.index), BadRequest("line at byte %d: %s", start, err).WithCode("malformed_json"))
			}
			rec.index++
			return Record{Index: rec.index - 1, Raw: text}, nil
		}
		if rec.done {
			return Record{}, io.EOF
		}
	}
}

// readLine returns one line, as long as it stays within the bound.
func (rec *Records) readLine() ([]byte, error) {
	rec.line = rec.line[:0]
	for {
		part, err := rec.lines.ReadSlice('\n')
		if len(rec.line)+len(part) > rec.maxLine {
			return nil, Under("/"+strconv.Itoa(rec.index), TooLarge(int64(rec.maxLine)))
		}
		if err == nil && len(rec.line) == 0 {
			return part, nil
		}
		rec.line = append(rec.line, part...)
		if err == nil || !errors.Is(err, bufio.ErrBufferFull) {
			return rec.line, err
		}
	}
}

// place names the record that err is about.
func (rec *Records) place(err error) error {
	return Under("/"+strconv.Itoa(rec.index), err)
}

// DecodeRecord is DecodeJSON of a record; its errors name the record's index
// when the body may hold several.
func (rec *Records) DecodeRecord(record Record, into any, rules ...Rule) error {
	err := DecodeJSON(record.Raw, into, rules...)
	if err == nil || rec.form == Single {
		return err
	}
	return Under("/"+strconv.Itoa(record.Index), err)
}
