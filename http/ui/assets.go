package ui

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/marketprism/marketprism/http/chassis"
)

//go:embed dist
var dist embed.FS

// policy lets the page load what stands beside it, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// forever is for files whose name changes with their content.
const forever = "public, max-age=31536000, immutable"

// file is one of the page's files.
type file struct {
	text  []byte
	media string
	etag  string
}

// files are those of dist by name.
func files() (map[string]file, error) {
	all := map[string]file{}
	err := fs.WalkDir(dist, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := dist.ReadFile(name)
		if err != nil {
			return err
		}
		media := mediaOf(name)
		if media == "" {
			return nil
		}
		sum := sha256.Sum256(text)
		all[strings.TrimPrefix(name, "dist/")] = file{text, media, `"` + hex.EncodeToString(sum[:8]) + `"`}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the dashboard's files: %w", err)
	}
	if _, ok := all[index]; !ok {
		return nil, fmt.Errorf("the dashboard has no %s: go generate ./http/ui makes it", index)
	}
	return all, nil
}

const index = "index.html"

// mediaOf is the type of a file that is served; "" for one that is not.
func mediaOf(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".svg", ".woff2":
		return mime.TypeByExtension(path.Ext(name))
	}
	return ""
}

// page answers every page of the dashboard with the one document there is.
func (f *service) page(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	return f.write(w, r, f.files[index])
}

func (f *service) asset(w http.ResponseWriter, r *http.Request) error {
	name := strings.TrimPrefix(r.URL.Path, assets)
	found, ok := f.files[name]
	if !ok || name == index {
		return chassis.NotFound("the dashboard has no such file; it may be another version's: load the page again")
	}
	w.Header().Set("Cache-Control", forever)
	return f.write(w, r, found)
}

func (f *service) write(w http.ResponseWriter, r *http.Request, found file) error {
	w.Header().Set("Content-Type", found.media)
	w.Header().Set("ETag", found.etag)
	if strings.Contains(r.Header.Get("If-None-Match"), found.etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if _, err := w.Write(found.text); err != nil {
		return fmt.Errorf("writing a file of the dashboard: %w", err)
	}
	return nil
}
