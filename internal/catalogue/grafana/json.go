package grafana

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/marketprism/marketprism/internal/catalogue"
)

// The JSON of a dashboard, of which we write what we need. Grafana fills in the rest;
// schemaVersion says whose rest.
const schemaVersion = 39

// A page is 24 wide.
const (
	pageWidth                = 24
	linesWidth, linesHeight  = 8, 8
	numberWidth, numberTall  = 4, 4
	rowHeight                = 1
	sourceVariable           = "${datasource}"
	instances                = `label_values(process_start_time_seconds{job=~".+-service|market-data-collector"}, instance)`
	refresh                  = "10s"
	green, red, transparency = "green", "red", 10
)

type object = map[string]any

var source = object{"type": "prometheus", "uid": sourceVariable}

// JSON is the page as Grafana reads it.
func (p Page) JSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(object{
		"uid": p.UID, "title": p.Title, "description": p.About, "tags": []string{"marketprism"},
		"schemaVersion": schemaVersion, "version": 1, "editable": false, "graphTooltip": 1,
		"timezone": "browser", "refresh": refresh, "time": object{"from": "now-1h", "to": "now"},
		"links": []object{{
			"type": "dashboards", "title": "MarketPrism", "tags": []string{"marketprism"},
			"asDropdown": true, "keepTime": true, "includeVars": false, "targetBlank": false,
		}},
		"templating": object{"list": p.variables()},
		"panels":     p.panels(),
	})
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", p.UID, err)
	}
	return b.Bytes(), nil
}

func (p Page) variables() []object {
	list := []object{
		{"name": "datasource", "label": "Source", "type": "datasource", "query": "prometheus", "hide": 0},
		choice("instance", "Process", instances),
	}
	for _, label := range p.Filters {
		list = append(list, choice(label, strings.ToUpper(label[:1])+label[1:], fmt.Sprintf("label_values(%s, %s)", carrier(label), label)))
	}
	return list
}

// carrier is a metric that has all values of a label.
func carrier(label string) catalogue.Name {
	switch label {
	case "kind":
		return catalogue.ActorsAlive
	case "service":
		return catalogue.HTTPRequests
	default:
		return catalogue.StreamUp
	}
}

// choice is a variable with any number of the values that a query gives, at first all.
func choice(name, label, query string) object {
	return object{
		"name": name, "label": label, "type": "query", "datasource": source,
		"definition": query, "query": object{"query": query, "refId": "values"},
		"refresh": 2, "sort": 1, "multi": true, "includeAll": true, "allValue": ".*", "hide": 0,
		"current": object{"selected": true, "text": []string{"All"}, "value": []string{"$__all"}},
	}
}

// panels are all panels of all rows, laid out from the top.
func (p Page) panels() []object {
	var list []object
	id, y := 0, 0
	next := func() int { id++; return id }
	for _, r := range p.Rows {
		head := object{
			"id": next(), "type": "row", "title": r.Title, "collapsed": r.Folded,
			"gridPos": place(0, y, pageWidth, rowHeight), "panels": []object{},
		}
		y += rowHeight
		inside, bottom := r.layOut(y, next)
		if r.Folded {
			head["panels"] = inside
			list = append(list, head)
			continue // what is folded takes no room
		}
		list, y = append(append(list, head), inside...), bottom
	}
	return list
}

// layOut places the panels of a row from the left, line by line.
func (r Row) layOut(y int, next func() int) (list []object, bottom int) {
	x, height := 0, 0
	for _, p := range r.Panels {
		w, h := p.size()
		if x+w > pageWidth {
			x, y, height = 0, y+height, 0
		}
		list = append(list, p.object(next(), place(x, y, w, h)))
		x, height = x+w, max(height, h)
	}
	return list, y + height
}

func place(x, y, w, h int) object { return object{"x": x, "y": y, "w": w, "h": h} }

func (p Panel) size() (w, h int) {
	if p.Form == Number {
		return numberWidth, numberTall
	}
	return linesWidth, linesHeight
}

func (p Panel) object(id int, at object) object {
	targets := make([]object, len(p.Queries))
	for i, q := range p.Queries {
		targets[i] = object{
			"refId": string(rune('A' + i)), "datasource": source, "editorMode": "code",
			"expr": q.Expr, "legendFormat": orElse(q.Legend, "all"), "range": p.Form == Lines, "instant": p.Form == Number,
		}
	}
	defaults := object{"unit": p.Queries[0].Unit, "color": object{"mode": "palette-classic"}}
	options := object{
		"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true},
		"tooltip": object{"mode": "multi", "sort": "desc"},
	}
	switch p.Form {
	case Lines:
		defaults["custom"] = object{"drawStyle": "line", "lineWidth": 1, "fillOpacity": transparency, "showPoints": "never", "spanNulls": false}
	case Number:
		defaults["color"] = object{"mode": "thresholds"}
		defaults["thresholds"] = object{"mode": "absolute", "steps": p.steps()}
		options = object{
			"colorMode": "value", "graphMode": "none", "textMode": "value", "justifyMode": "center",
			"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
		}
	}
	return object{
		"id": id, "type": string(p.Form), "title": p.Title, "description": p.About, "datasource": source,
		"gridPos": at, "targets": targets, "options": options,
		"fieldConfig": object{"defaults": defaults, "overrides": []object{}},
	}
}

// steps colour a number.
func (p Panel) steps() []object {
	at := func(colour string, from any) object { return object{"color": colour, "value": from} }
	switch {
	case p.Low:
		return []object{at(red, nil), at(green, p.Bad)}
	case p.Bad != 0:
		return []object{at(green, nil), at(red, p.Bad)}
	default:
		return []object{at("text", nil)}
	}
}
