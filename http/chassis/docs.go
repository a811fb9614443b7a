package chassis

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
)

//go:embed docs.html
var docsHTML string

//go:embed docs.css
var docsCSS []byte

// docsPolicy lets the page load its own style, and nothing else.
const docsPolicy = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"

type docsPage struct {
	Title, Version, Service, About string
	Groups                         []docsGroup
}

type docsGroup struct {
	Name   string
	Routes []docsRoute
}

type docsRoute struct {
	ID, Method, Path, Summary, Description string
	Deprecated                             bool
	Params                                 []docsParam
	Body                                   string // JSON Schema
	Accepts                                string
	Responses                              []docsResponse
}

type docsParam struct {
	Name, In, Type, Doc string
	Required            bool
}

type docsResponse struct {
	Status, Doc, Media string
}

// RenderDocs renders the documentation page from an OpenAPI document, so that
// the two cannot differ.
func (s *Server) RenderDocs(document []byte) ([]byte, error) {
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Summary     string
			Description string
			Deprecated  bool
			Tags        []string
			Parameters  []struct {
				Name, In, Description string
				Required              bool
				Schema                map[string]any
			}
			RequestBody *struct {
				Content map[string]struct{ Schema json.RawMessage }
			} `json:"requestBody"`
			Responses map[string]struct {
				Description string
				Content     map[string]any
			}
		}
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		return nil, err
	}
	groups := map[string][]docsRoute{}
	for path, item := range doc.Paths {
		for method, op := range item {
			rt := docsRoute{ID: op.OperationID, Method: strings.ToUpper(method), Path: path,
				Summary: op.Summary, Description: op.Description, Deprecated: op.Deprecated}
			for _, p := range op.Parameters {
				rt.Params = append(rt.Params, docsParam{p.Name, p.In, schemaLine(p.Schema), p.Description, p.Required})
			}
			if op.RequestBody != nil {
				for _, media := range sortedKeys(op.RequestBody.Content) {
					rt.Accepts = strings.TrimPrefix(rt.Accepts+", "+media, ", ")
					rt.Body = schemaText(op.RequestBody.Content[media].Schema)
				}
			}
			for _, status := range sortedKeys(op.Responses) {
				r := op.Responses[status]
				if status == "default" {
					continue
				}
				rt.Responses = append(rt.Responses, docsResponse{status, r.Description, strings.Join(sortedKeys(r.Content), ", ")})
			}
			tag := "api"
			if len(op.Tags) > 0 {
				tag = op.Tags[0]
			}
			groups[tag] = append(groups[tag], rt)
		}
	}
	page := docsPage{Title: s.title, Version: s.version, Service: s.service, About: s.about}
	for _, tag := range sortedKeys(groups) {
		slices.SortFunc(groups[tag], func(a, b docsRoute) int {
			return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method)
		})
		page.Groups = append(page.Groups, docsGroup{tag, groups[tag]})
	}
	tmpl, err := template.New("docs").Parse(docsHTML)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := tmpl.Execute(&out, page); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// schemaLine renders a parameter's schema on one line.
func schemaLine(schema map[string]any) string {
	kind, _ := schema["type"].(string)
	if format, ok := schema["format"].(string); ok {
		kind = format
	}
	var notes []string
	for _, key := range []string{"default", "minimum", "maximum", "enum"} {
		if v, ok := schema[key]; ok {
			text, err := json.Marshal(v)
			if err == nil {
				notes = append(notes, key+" "+string(text))
			}
		}
	}
	return strings.TrimSpace(kind + " " + strings.Join(notes, ", "))
}

func schemaText(schema json.RawMessage) string {
	var out bytes.Buffer
	if err := json.Indent(&out, schema, "", "  "); err != nil {
		return string(schema)
	}
	return out.String()
}

func (s *Server) serveDocument(w http.ResponseWriter, r *http.Request) error {
	return WriteDocument(w, r, s.document)
}

func (s *Server) serveDocs(w http.ResponseWriter, r *http.Request) error {
	return WriteDocs(w, r, s.page)
}

// WriteDocument answers with an OpenAPI document, or 304.
func WriteDocument(w http.ResponseWriter, r *http.Request, document []byte) error {
	return writeStatic(w, r, mediaJSON, document)
}

// WriteDocs answers with a page that RenderDocs has made, or 304.
func WriteDocs(w http.ResponseWriter, r *http.Request, page []byte) error {
	w.Header().Set("Content-Security-Policy", docsPolicy)
	return writeStatic(w, r, "text/html; charset=utf-8", page)
}

// Document is the OpenAPI document of the routes, once the server has started; nil
// before.
func (s *Server) Document() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.document
}

func (s *Server) serveDocsStyle(w http.ResponseWriter, r *http.Request) error {
	return writeStatic(w, r, "text/css; charset=utf-8", docsCSS)
}

func writeStatic(w http.ResponseWriter, r *http.Request, media string, body []byte) error {
	if NotModified(w, r, strconv.FormatUint(xxhash.Sum64(body), 36)) {
		return nil
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(body)
	return err
}
