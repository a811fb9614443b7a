package part

import "github.com/marketprism/marketprism/persistence"

// readCount counts what one scan reads, and what its sources never have to.
type readCount struct {
	to    *persistence.ReadCounter
	file  *File
	pages []bool // wanted by a source
	// wanted by a source, and read
	wanted, visited []bool // by row group
}

// Count has what the scan reads counted. It is called before the first Source.
func (s *Scan) Count(to *persistence.ReadCounter) {
	if to == nil {
		return
	}
	pages, groups := len(s.file.pages), len(s.file.pq.RowGroups())
	s.count = &readCount{to: to, file: s.file, pages: make([]bool, pages), wanted: make([]bool, groups), visited: make([]bool, groups)}
	// Until a source wants them.
	to.Add(persistence.ReadStats{Files: 1, RowGroupsPruned: int64(groups), PagesPruned: int64(pages)})
}

// want takes pages [lo, hi), which a source may read, off those that are pruned.
func (c *readCount) want(lo, hi int) {
	if c == nil {
		return
	}
	for page := lo; page < hi; page++ {
		if c.pages[page] {
			continue
		}
		c.pages[page] = true
		c.to.Add(persistence.ReadStats{PagesPruned: -1})
		if group := c.file.pages[page].group; !c.wanted[group] {
			c.wanted[group] = true
			c.to.Add(persistence.ReadStats{RowGroupsPruned: -1})
		}
	}
}

// read counts a page that is about to be decoded.
func (c *readCount) read(p *pageRef) {
	if c == nil {
		return
	}
	c.to.Add(persistence.ReadStats{Pages: 1})
	if !c.visited[p.group] {
		c.visited[p.group] = true
		c.to.Add(persistence.ReadStats{RowGroups: 1})
	}
}

// column counts the bytes of one column of a page.
func (c *readCount) column(bytes int64) {
	if c != nil {
		c.to.Add(persistence.ReadStats{Bytes: bytes})
	}
}
