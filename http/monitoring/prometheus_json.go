package monitoring

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"

	"github.com/marketprism/marketprism/actors/monitoring/promql"
	"github.com/marketprism/marketprism/actors/monitoring/series"
)

// write answers.
func write(w http.ResponseWriter, status int, a answer) error {
	var body []byte
	result, special := a.Data.(promql.Result)
	if special {
		a.Data = json.RawMessage(appendResult(nil, result))
	}
	body, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, err = w.Write(body)
	return err
}

// appendResult writes the result of a query as Prometheus does.
func appendResult(b []byte, r promql.Result) []byte {
	b = append(b, `{"resultType":"`+string(r.Type)+`","result":`...)
	switch r.Type {
	case promql.Scalar:
		b = appendPoint(b, r.Scalar)
	case promql.String:
		b = append(b, '[')
		b = append(appendTime(b, r.Scalar.T), ',')
		b = append(appendText(b, r.Text), ']')
	case promql.Vector:
		b = append(b, '[')
		for i, s := range r.Vector {
			b = appendMetric(separated(b, i), s.Labels)
			b = append(appendPoint(append(b, `,"value":`...), s.Point), '}')
		}
		b = append(b, ']')
	case promql.Matrix:
		b = append(b, '[')
		for i, s := range r.Matrix {
			b = append(appendMetric(separated(b, i), s.Labels), `,"values":[`...)
			for j, p := range s.Points {
				b = appendPoint(separated(b, j), p)
			}
			b = append(b, `]}`...)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func separated(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return b
}

func appendMetric(b []byte, l promql.Labels) []byte {
	b = append(b, `{"metric":{`...)
	i := 0
	l.Range(func(each series.Label) {
		b = append(appendText(separated(b, i), each.Name), ':')
		b = appendText(b, each.Value)
		i++
	})
	return append(b, '}')
}

func appendText(b []byte, text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil { // a string can be written
		return append(b, `""`...)
	}
	return append(b, quoted...)
}

func appendPoint(b []byte, p promql.Point) []byte {
	b = append(appendTime(append(b, '['), p.T), `,"`...)
	return append(appendValue(b, p.V), `"]`...)
}

// appendTime writes Unix milliseconds as seconds.
func appendTime(b []byte, t int64) []byte {
	if t < 0 {
		b, t = append(b, '-'), -t
	}
	b = strconv.AppendInt(b, t/1000, 10)
	if ms := t % 1000; ms != 0 {
		b = append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	}
	return b
}

// appendValue writes a number with as many digits as it needs.
func appendValue(b []byte, v float64) []byte {
	form := byte('f')
	if abs := math.Abs(v); abs != 0 && !math.IsInf(v, 0) && (abs < 1e-6 || abs >= 1e21) {
		form = 'e'
	}
	return strconv.AppendFloat(b, v, form, -1, 64)
}
